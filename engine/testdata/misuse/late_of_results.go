package misuse

// Meant: the records that came too late. They are the window's, not the results'.
func lateOfResults() {
	totals.Late() // error: totals.Late undefined
}
