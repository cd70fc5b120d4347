package casefile

import "schakel/clients/protocol"

var faultTexts = map[FaultKind]protocol.Text{
	FaultArchive:   {NL: "dit is geen zaakdossier van Schakel, of het is beschadigd", EN: "this is not a case file of Schakel, or it is damaged"},
	FaultManifest:  {NL: "de inhoudsopgave klopt niet", EN: "the manifest is not right"},
	FaultAbsent:    {NL: "dit bestand is eruit gehaald", EN: "this file was taken out"},
	FaultChanged:   {NL: "dit bestand is veranderd", EN: "this file was changed"},
	FaultExtra:     {NL: "dit bestand is erbij gezet", EN: "this file was put in"},
	FaultSignature: {NL: "de handtekening onder het dossier klopt niet", EN: "the signature under the file is not right"},
	FaultAnchor:    {NL: "dit bericht staat niet in het anker waarin het zou staan", EN: "this message is not in the anchor that it claims"},
	FaultGenesis:   {NL: "dit register heeft niet de vingerafdruk die u opgaf", EN: "this register does not have the fingerprint that you gave"},
	FaultRegister:  {NL: "het register klopt niet", EN: "the register does not verify"},
	FaultAgreement: {NL: "dit is niet de overeenkomst die het register noemt", EN: "this is not the agreement that the register names"},
	FaultMessage:   {NL: "dit bericht bewijst niet wat het beweert", EN: "this message does not prove what it claims"},
	FaultDelivery:  {NL: "dit bewijs van aflevering bewijst niet wat het beweert", EN: "this proof of delivery does not prove what it claims"},
	FaultContent:   {NL: "dit bestand is niet wat zijn naam zegt", EN: "this file is not what its name says"},
	FaultPage:      {NL: "deze leesbare versie zegt iets anders dan de berichten zelf", EN: "this readable page says something else than the messages themselves"},
}

const readMe = `Dit is een zaakdossier van Schakel.

Lezen:       open dossier.html in een browser. Het werkt zonder internet en kan geprint worden.
Controleren: schakel verify DIT-BESTAND.zip --genesis "DE VINGERAFDRUK"
             Vraag de vingerafdruk van het register per telefoon aan de houders van het register.
             Zonder Schakel: zie docs/casefile.md in de broncode van Schakel.
Bewaren:     het dossier is niet versleuteld. Wie het heeft, kan het lezen.

This is a case file of Schakel.

Read:   open dossier.en.html in a browser. It works without internet and can be printed.
Verify: schakel verify THIS-FILE.zip --genesis "THE FINGERPRINT"
        Ask the root holders for the fingerprint of the register, by telephone.
        Without Schakel: see docs/casefile.md in Schakel's source.
Keep:   the file is not encrypted. Whoever has it can read it.
`
