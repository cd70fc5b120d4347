module schakel

go 1.26.0

require filippo.io/age v0.0.0

replace filippo.io/age => ./age
