sdt:disk::disk_done
/arg1 > 3/
{
	@[args[0]->name] = sum(args[2]);
	trace(args[1]);
	trace(arg3);
}
