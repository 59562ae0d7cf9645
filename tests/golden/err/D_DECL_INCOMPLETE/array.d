struct none a[4];
BEGIN
{
}
