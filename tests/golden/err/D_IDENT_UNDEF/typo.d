BEGIN
{
	trace(exec_name);
}
