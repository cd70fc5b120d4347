package desk

// CheckPeer lets a test play another owner than its own user.
var CheckPeer = checkPeer

// ReadEvents is readEvents.
var ReadEvents = readEvents
