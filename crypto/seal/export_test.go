package seal

// For the published table of sizes.
var (
	PaddedSize = paddedSize
	SealedSize = sealedSize
)
