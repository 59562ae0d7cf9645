BEGIN
{
	speculate(speculation());
	raise2 = 1;
}
BEGIN
{
	commit(1); discard(1);
}
BEGIN
{
	system("echo %d", pid); freopen("/tmp/%s", execname); freopen(""); ftruncate(); raise(9); stop(); chill(5); copyout(alloca(4), arg0, 4);
	setopt("quiet", "1"); print(pid); return(5); jstack();
}
