fbt::disk_read:entry
/args[0]->id == 3 && arg2 > 4 && arg3 == 0/
{
	@ = sum(args[0]->next->flags);
}

fbt:vmlinux:disk_read:return
/args[1] < 0/
{
	@r = min(arg0 + arg1);
}

rawfbt::disk_read:entry
{
	@raw = max(arg0 + arg7);
}
