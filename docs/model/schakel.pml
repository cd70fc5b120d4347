/*
 * Submit, deliver, acknowledge, state, and the ladder, with crashes of everybody and
 * one loss of the whole store. README.md says which step is which line of the program.
 *
 * All state is global and each process is one loop over it: what a crash takes is then
 * a list of assignments, and what it leaves is on a disk. A wire is a set of bits: a
 * session that ends loses what is on it.
 * There is one message, and it is acute: no rule that is modelled here looks at another.
 *
 * The mutations (-DEARLY and so on) leave out one defence each. spin must find fault
 * with every one of them.
 */
#ifndef CRASHES
#define CRASHES 2
#endif

/* The sender: on disk, then in memory. */
bool owed = true; /* nobody has stated that the recipient has it */
bool atRelay;     /* a receipt under the epoch in seen */
byte seen;        /* the epoch of the store that this is about */
bool offered;

/* On the wires. */
bool put, receipt, deliver, ack, statement, attending;

/* The relay: on disk, then in memory. */
bool mailbox, known, waiting;
byte row; /* of the pager: 0 nothing, 1 about to call, 2 called */
byte epoch;
bool batch, fresh, sent, passed, timer;

/* The recipient: on disk, then in memory. */
bool has, attended;
bool opened, unacked;

/* What properties speak of. */
bool promised, lost, due, called;
byte told;
byte crashes;

inline senderForgets() {
	put = false; receipt = false;
	offered = atRelay
}

inline recipientForgets() {
	deliver = false; ack = false;
	opened = false; unacked = false;
	sent = false; attending = false
}

inline relayForgets() {
	batch = false; fresh = false;
	passed = false; timer = false;
	statement = false;
	senderForgets(); recipientForgets()
}

active proctype Sender() {
	do
	:: atomic { owed && !offered && seen == epoch -> offered = true; put = true }
	:: atomic { receipt -> receipt = false; atRelay = true; promised = true;
#ifdef FORGET_ON_RECEIPT
		owed = false
#endif
	}
	:: atomic { statement -> statement = false; owed = false }
	:: atomic { seen != epoch -> seen = epoch;
#ifndef NO_EPOCH
		atRelay = false; offered = false
#endif
	}
	od
}

active proctype Relay() {
	do
	:: atomic { put -> put = false; batch = true;
#ifdef EARLY
		receipt = true
#endif
	}
	/* One transaction: the record, the id, the row of the ladder. */
	:: atomic { batch -> batch = false;
		if
		:: known
		:: else -> known = true; mailbox = true;
			waiting = true; timer = true
		fi;
		fresh = true }
	/* The receipt is signed when the transaction is on disk. */
	:: atomic { fresh -> fresh = false; receipt = true }
	:: atomic { mailbox && !sent -> sent = true; deliver = true }
	/* An acknowledgement rides with the next commit. */
	:: atomic { ack -> ack = false; passed = true }
	:: atomic { passed -> passed = false; mailbox = false }
	od
}

active proctype Recipient() {
	do
#ifdef ACK_BEFORE_STORE
	:: atomic { deliver -> deliver = false; opened = true; unacked = true }
#else
	:: atomic { deliver -> deliver = false; opened = true }
#endif
	/* One transaction: the message, its counter, the event. */
	:: atomic { opened -> opened = false; unacked = true;
		if
#ifndef NO_DEDUPLICATION
		:: has
#endif
		:: else -> has = true;
			if
			:: told < 3 -> told++
			:: else
			fi
		fi }
	:: atomic { unacked -> unacked = false; ack = true }
	/* Statements say all that is here, and are made anew. */
	:: atomic { has && owed && !statement -> statement = true }
	od
}

/* A person, who may never look. */
active proctype Person() {
	if
	:: skip -> goto absent
	:: atomic { has -> attended = true }
	fi;
	do
	:: atomic { waiting && !attending -> attending = true }
	od;
absent:	skip
}

/* The ladder: the row first, then the call, then the row again. */
active proctype Pager() {
	do
	:: atomic { attending -> attending = false; waiting = false }
#ifdef TIMER_IN_MEMORY
	:: atomic { waiting && timer && !due -> due = true }
	:: atomic { waiting && timer && due && row == 0 -> row = 1 }
#else
	:: atomic { waiting && !due -> due = true }
	:: atomic { waiting && due && row == 0 -> row = 1 }
#endif
#ifdef ROW_SAYS_CALLED
	:: atomic { row == 1 -> row = 2 }
	:: atomic { row == 2 && timer && !called -> called = true }
#else
	:: atomic { row == 1 -> called = true }
	:: atomic { row == 1 && called -> row = 2 }
#endif
	od
}

active proctype Nemesis() {
	do
	:: atomic { crashes < CRASHES -> crashes++; relayForgets() }
	:: atomic { crashes < CRASHES -> crashes++; senderForgets() }
	:: atomic { crashes < CRASHES -> crashes++; recipientForgets() }
	:: atomic { crashes < CRASHES && !lost -> crashes++; lost = true; epoch++;
		mailbox = false; known = false; waiting = false; row = 0; relayForgets() }
	:: crashes == CRASHES -> break
	:: break
	od
}

/* L: what was promised is there, as long as the store is. */
ltl promise { [] ((promised && !lost) -> (mailbox || has)) }
/* L, with the store lost: who forgets a message knows that it arrived. */
ltl kept { [] (owed || has) }
/* D: the application is told once. */
ltl once { [] (told <= 1) }
/* R: everything arrives, and its sender comes to know it. */
ltl arrives { <> (has && !owed) }
/* E: what is due and not attended is called about. */
ltl paged { [] (due -> <> (called || attended || lost)) }
