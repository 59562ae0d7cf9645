BEGIN
{
}

syscall::read:entry
