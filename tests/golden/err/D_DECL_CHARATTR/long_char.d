long char x;
BEGIN
{
}
