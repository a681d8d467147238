//! Account: nothing of it is read. Prices are all that is taken from this venue; the account is a name in the path.
