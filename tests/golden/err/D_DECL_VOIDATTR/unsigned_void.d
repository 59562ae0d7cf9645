unsigned void *x;
BEGIN
{
}
