/* SPDX-License-Identifier: Apache-2.0 */
/* How long reads take: pydtrace -s examples/readtime.d -c 'command' */
syscall::read:entry
/pid == $target/
{
	self->begun = timestamp;
}

syscall::read:return
/self->begun/
{
	@["nanoseconds of a read"] = quantize(timestamp - self->begun);
	self->begun = 0;
}
