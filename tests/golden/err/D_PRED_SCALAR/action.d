BEGIN
/ exit(0) /
{
}
