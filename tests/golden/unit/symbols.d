BEGIN
{
	p = &`jiffies; q = &vmlinux`init_task; trace((uint64_t)&`jiffies); trace(*(int *)&`jiffies);
}
END
{
	trace(`jiffies + 1); trace(`linux_banner); trace(vmlinux`nr_cpu_ids); x = &`linux_banner[3];
}
