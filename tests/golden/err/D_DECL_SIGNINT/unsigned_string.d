unsigned string x;
BEGIN
{
}
