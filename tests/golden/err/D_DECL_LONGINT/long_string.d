long string x;
BEGIN
{
}
