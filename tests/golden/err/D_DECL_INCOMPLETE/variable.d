struct t x;
BEGIN
{
}
