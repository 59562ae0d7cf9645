int a[int, ...];
BEGIN
{
}
