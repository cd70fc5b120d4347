// Package docs holds what is written about Schakel; its tests keep the promises of the
// house: who may import whom, how the code is shaped, and that what is written is true.
package docs
