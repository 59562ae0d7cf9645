int f(int a[int]);
BEGIN
{
}
