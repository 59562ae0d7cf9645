BEGIN
{
	@ = lquantize(arg0, 0x100000000, 0x200000000, 1);
}
