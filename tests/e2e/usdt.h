/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usdt.h - static probes for the programs that tests trace, without <sys/sdt.h>, and with operands of our own choice.
 */
#define STR_(x) #x
#define STR(x) STR_(x)

/* A probe with a counter, or 0; args is the text of operands, the rest are inputs of the assembler statement. */
#define PROBE(prov, name, counter, args, ...) \
	__asm__ volatile( \
		"990: nop\n" \
		".pushsection .note.stapsdt,\"?\",\"note\"\n" \
		".balign 4\n" \
		".4byte 992f-991f, 994f-993f, 3\n" \
		"991: .asciz \"stapsdt\"\n" \
		"992: .balign 4\n" \
		"993: .8byte 990b, _.stapsdt.base, " STR( \
			counter) "\n" \
				 ".asciz \"" STR(prov) "\"\n" \
						       ".asciz \"" STR( \
							       name) "\"\n" \
								     ".asciz \"" args "\"\n" \
								     "994: .balign 4\n" \
								     ".popsection\n" \
								     ".ifndef _.stapsdt.base\n" \
								     ".pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n" \
								     ".weak _.stapsdt.base\n" \
								     ".hidden _.stapsdt.base\n" \
								     "_.stapsdt.base: .space 1\n" \
								     ".size _.stapsdt.base, 1\n" \
								     ".popsection\n" \
								     ".endif\n" ::__VA_ARGS__)

#define COUNTER(name) \
	__attribute__((section(".probes"), used, visibility("hidden"))) volatile unsigned short name
