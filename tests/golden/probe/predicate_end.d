BEGIN / 4 / 2 / { }
BEGIN / pid / /* why not */ { }
BEGIN / (8 / 4) / 2 == 1 / // so
{ }
BEGIN / pid / arg0 / { }
