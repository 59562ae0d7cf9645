static int x;
BEGIN
{
}
