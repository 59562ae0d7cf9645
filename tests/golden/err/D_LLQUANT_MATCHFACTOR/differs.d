BEGIN
{
	@a = llquantize(arg0, 10, 0, 6, 10);
	@a = llquantize(arg0, 5, 0, 6, 5);
}
