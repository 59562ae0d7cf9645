int vmlinux`x;
BEGIN
{
}
