BEGIN
{
	@a = lquantize(arg0, 0, 100, 10);
	@a = lquantize(arg0, 0, 110, 10);
}
