// KTAP
