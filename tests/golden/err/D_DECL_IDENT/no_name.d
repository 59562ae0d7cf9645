int *;
BEGIN
{
}
