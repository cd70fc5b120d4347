module filippo.io/age

go 1.26.0
