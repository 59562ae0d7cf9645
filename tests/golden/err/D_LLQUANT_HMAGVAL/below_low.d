BEGIN
{
	@ = llquantize(arg0, 10, 3, 2, 10);
}
