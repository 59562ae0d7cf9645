struct s { int *; };
BEGIN
{
}
