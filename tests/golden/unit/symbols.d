BEGIN
{
	p = &`jiffies; q = &vmlinux`init_task; trace((uint64_t)&`jiffies); trace(*(int *)&`jiffies);
}
