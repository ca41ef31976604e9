"""The mails that the demo shop sends: ten kinds in eight languages, each a file of its own."""

import re

KINDS = (
    "order_received",
    "order_paid",
    "order_shipped",
    "order_delivered",
    "order_cancelled",
    "payment_failed",
    "refund_sent",
    "return_received",
    "ticket_opened",
    "ticket_closed",
)

_WORDS = """
en Hello {name},
  Your order {order} has arrived with us
  Order {order} is paid
  Order {order} is on its way
  Order {order} was delivered
  Order {order} is cancelled
  The payment for order {order} failed
  The refund for order {order} is sent
  Your return of order {order} is here
  We are looking into order {order}
  Solved: your question about order {order}
de Guten Tag {name},
  Ihre Bestellung {order} ist eingegangen
  Bestellung {order} ist bezahlt
  Bestellung {order} ist unterwegs
  Bestellung {order} wurde geliefert
  Bestellung {order} ist storniert
  Die Zahlung für Bestellung {order} schlug fehl
  Die Erstattung für Bestellung {order} ist angewiesen
  Ihre Rücksendung zu Bestellung {order} ist da
  Wir kümmern uns um Bestellung {order}
  Gelöst: Ihre Frage zu Bestellung {order}
fr Bonjour {name},
  Votre commande {order} est bien arrivée
  La commande {order} est payée
  La commande {order} est en route
  La commande {order} est livrée
  La commande {order} est annulée
  Le paiement de la commande {order} a échoué
  Le remboursement de la commande {order} est envoyé
  Votre retour de la commande {order} est arrivé
  Nous examinons la commande {order}
  Résolu : votre question sur la commande {order}
nl Dag {name},
  Uw bestelling {order} is ontvangen
  Bestelling {order} is betaald
  Bestelling {order} is onderweg
  Bestelling {order} is bezorgd
  Bestelling {order} is geannuleerd
  De betaling van bestelling {order} is mislukt
  De terugbetaling van bestelling {order} is onderweg
  Uw retour van bestelling {order} is binnen
  We kijken naar bestelling {order}
  Opgelost: uw vraag over bestelling {order}
es Hola {name}:
  Hemos recibido su pedido {order}
  El pedido {order} está pagado
  El pedido {order} está en camino
  El pedido {order} se ha entregado
  El pedido {order} se ha cancelado
  El pago del pedido {order} ha fallado
  El reembolso del pedido {order} se ha enviado
  Su devolución del pedido {order} ha llegado
  Estamos revisando el pedido {order}
  Resuelto: su pregunta sobre el pedido {order}
it Buongiorno {name},
  Il suo ordine {order} è arrivato
  L'ordine {order} è pagato
  L'ordine {order} è in viaggio
  L'ordine {order} è consegnato
  L'ordine {order} è annullato
  Il pagamento dell'ordine {order} non è riuscito
  Il rimborso dell'ordine {order} è stato inviato
  Il suo reso dell'ordine {order} è arrivato
  Stiamo esaminando l'ordine {order}
  Risolto: la sua domanda sull'ordine {order}
pl Dzień dobry {name},
  Otrzymaliśmy zamówienie {order}
  Zamówienie {order} jest opłacone
  Zamówienie {order} jest w drodze
  Zamówienie {order} dostarczono
  Zamówienie {order} anulowano
  Płatność za zamówienie {order} nie powiodła się
  Zwrot pieniędzy za zamówienie {order} wysłano
  Zwrot zamówienia {order} dotarł
  Zajmujemy się zamówieniem {order}
  Rozwiązane: pytanie o zamówienie {order}
sv Hej {name},
  Vi har tagit emot order {order}
  Order {order} är betald
  Order {order} är på väg
  Order {order} är levererad
  Order {order} är avbruten
  Betalningen av order {order} misslyckades
  Återbetalningen av order {order} är skickad
  Din retur av order {order} är här
  Vi tittar på order {order}
  Löst: din fråga om order {order}
"""
"""Of each language: its code, how a mail begins, and the subjects of all kinds."""
_BLOCKS = tuple(re.split(r"\n(?=\w)", _WORDS.strip()))
LANGUAGES = tuple(block[:2] for block in _BLOCKS)


def templates(language: str) -> dict[str, str]:
    """The mails of one language by their paths."""
    first, *subjects = _BLOCKS[LANGUAGES.index(language)].split("\n  ")
    return {
        f"shop/mails/{kind}.{language}.txt": f"Subject: {subject}\n\n{first[3:]}\n\n{subject}.\nhttps://shop.example/orders/{{order}}\n"
        for kind, subject in zip(KINDS, subjects, strict=True)
    }
