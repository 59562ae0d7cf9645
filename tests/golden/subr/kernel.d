BEGIN
{
	a = getf(0); b = d_path((struct path *)arg0); c = mutex_owner((struct mutex *)arg0); d = mutex_owned((struct mutex *)arg0);
	e = rw_read_held((struct rw_semaphore *)arg0);
}
