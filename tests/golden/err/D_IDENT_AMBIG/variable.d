enum disk_state s;
int DISK_BUSY;
BEGIN
/s == DISK_IDLE/
{
	trace(s == DISK_BUSY);
}
