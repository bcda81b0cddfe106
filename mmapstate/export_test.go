package mmapstate

// RaceBuild tells the tests of other packages that the race detector slows them.
const RaceBuild = raceBuild
