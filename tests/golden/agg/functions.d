syscall::read:entry
{
	@ = count(); @a = count(); @b = sum(arg2); @c = min(arg0); @d = max(pid); @e = avg(arg2); @f = stddev(arg2);
	@h = quantize(arg2); @i = quantize(arg2, 5); @j = lquantize(arg2, -10, 100, 10); @k = lquantize(arg2, 0, 10);
	@l = lquantize(arg2, 0, 100, 10, -1); @m = llquantize(arg2, 10, 0, 6, 20); @n = llquantize(arg2, 2, 0, 10, 2, 3);
}
