// Package web reads the store past the rights of its users.
package web

import _ "schakel/clients/store"
