enum e { A, B, A };
BEGIN
{
}
