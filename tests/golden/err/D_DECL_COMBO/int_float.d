int float x;
BEGIN
{
}
