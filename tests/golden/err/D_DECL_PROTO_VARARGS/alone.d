int f(...);
BEGIN
{
}
