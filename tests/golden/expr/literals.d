BEGIN
{
	trace(0x7fffffff); trace(2147483648); trace(0x80000000); trace(4294967296); trace(0xffffffffffffffff);
	trace(017); trace(1u); trace(1ul); trace(1LL); trace(18446744073709551615u);
	trace('a'); trace('ab'); trace('\n'); trace('\377'); trace('abcdefgh');
	trace("a\tb\"c\\d\x41\101\q"); trace("end\0here");
}
