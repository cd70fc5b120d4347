package cli

import _ "schakel/relay/queue" // rule 3; and the package says nothing of itself, rule 4
