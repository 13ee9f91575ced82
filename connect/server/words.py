"""What the unsubscribe pages say, in the languages that come along; a project adds to it, or says it otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from connect.project.unsubscribe import PageWords


@dataclass(frozen=True, slots=True)
class Words:
    """One language. `{topic}` stands for the label of a topic."""

    title: str
    question: str
    question_topic: str
    unsubscribe: str
    unsubscribe_all: str
    left: str
    left_topic: str
    mistake: str
    resubscribe: str
    back: str
    choose: str
    save: str
    saved: str
    all_off: str
    choices: str
    unknown: str
    leave_some: str
    held_back: str
    broken_title: str
    broken: str
    later_title: str
    later: str

    def with_own(self, own: PageWords) -> Words:
        """The project's own words where it has some."""
        names = (field.name for field in fields(self))
        return replace(self, **{name: said for name in names if (said := getattr(own, name)) is not None})


_EN = Words(
    title="Your messages",
    question="Do you want to stop receiving these messages?",
    question_topic="Do you want to stop receiving “{topic}”?",
    unsubscribe="Unsubscribe",
    unsubscribe_all="Unsubscribe from everything",
    left="You are unsubscribed. You will not receive these messages any more.",
    left_topic="You are unsubscribed from “{topic}”.",
    mistake="Was this a mistake?",
    resubscribe="Subscribe again",
    back="You are subscribed again.",
    choose="What do you want to receive?",
    save="Save",
    saved="Your choices are saved.",
    all_off="You are unsubscribed from everything. If you choose something again, "
    "messages without a topic may come, too.",
    choices="See all choices",
    unknown="What you receive now can not be shown at the moment. You can unsubscribe all the same.",
    leave_some="What do you not want to receive any more?",
    held_back="Messages to you could not be delivered, or were reported as unwanted. Nothing is sent to you. "
    "Write to the sender if you want to receive messages again.",
    broken_title="This link does not work",
    broken="It may have been cut off on its way. Open it again from the message, "
    "or answer the message and ask to be unsubscribed.",
    later_title="Please try again later",
    later="Your choice could not be saved just now. Please try again in a few minutes, "
    "or answer the message and ask to be unsubscribed.",
)
_DE = Words(
    title="Ihre Nachrichten",
    question="Möchten Sie diese Nachrichten nicht mehr erhalten?",
    question_topic="Möchten Sie „{topic}“ nicht mehr erhalten?",
    unsubscribe="Abmelden",
    unsubscribe_all="Von allem abmelden",
    left="Sie sind abgemeldet und erhalten diese Nachrichten nicht mehr.",
    left_topic="Sie sind von „{topic}“ abgemeldet.",
    mistake="War das ein Versehen?",
    resubscribe="Wieder anmelden",
    back="Sie sind wieder angemeldet.",
    choose="Was möchten Sie erhalten?",
    save="Speichern",
    saved="Ihre Auswahl ist gespeichert.",
    all_off="Sie sind von allem abgemeldet. Wenn Sie wieder etwas auswählen, "
    "kommen möglicherweise auch Nachrichten ohne Thema.",
    choices="Alle Einstellungen ansehen",
    unknown="Was Sie zurzeit erhalten, kann gerade nicht angezeigt werden. Abmelden können Sie sich trotzdem.",
    leave_some="Was möchten Sie nicht mehr erhalten?",
    held_back="Nachrichten an Sie waren nicht zustellbar oder wurden als unerwünscht gemeldet. Ihnen wird nichts "
    "gesendet. Schreiben Sie dem Absender, wenn Sie wieder Nachrichten erhalten möchten.",
    broken_title="Dieser Link funktioniert nicht",
    broken="Vielleicht wurde er unterwegs abgeschnitten. Öffnen Sie ihn noch einmal aus der Nachricht, "
    "oder antworten Sie auf die Nachricht und bitten Sie um Abmeldung.",
    later_title="Bitte versuchen Sie es später noch einmal",
    later="Ihre Auswahl konnte gerade nicht gespeichert werden. Bitte versuchen Sie es in einigen Minuten noch einmal, "
    "oder antworten Sie auf die Nachricht und bitten Sie um Abmeldung.",
)
_FR = Words(
    title="Vos messages",
    question="Voulez-vous ne plus recevoir ces messages ?",
    question_topic="Voulez-vous ne plus recevoir « {topic} » ?",
    unsubscribe="Se désabonner",
    unsubscribe_all="Se désabonner de tout",
    left="Vous êtes désabonné(e). Vous ne recevrez plus ces messages.",
    left_topic="Vous êtes désabonné(e) de « {topic} ».",
    mistake="C’était une erreur ?",
    resubscribe="Se réabonner",
    back="Vous êtes de nouveau abonné(e).",
    choose="Que voulez-vous recevoir ?",
    save="Enregistrer",
    saved="Vos choix sont enregistrés.",
    all_off="Vous êtes désabonné(e) de tout. Si vous choisissez de nouveau quelque chose, "
    "vous recevrez peut-être aussi des messages sans thème.",
    choices="Voir tous les choix",
    unknown="Ce que vous recevez ne peut pas être affiché pour le moment. Vous pouvez tout de même vous désabonner.",
    leave_some="Que ne voulez-vous plus recevoir ?",
    held_back="Des messages n’ont pas pu vous être remis, ou ont été signalés comme indésirables. Rien ne vous est "
    "envoyé. Écrivez à l’expéditeur si vous voulez de nouveau recevoir des messages.",
    broken_title="Ce lien ne fonctionne pas",
    broken="Il a peut-être été coupé en chemin. Ouvrez-le de nouveau depuis le message, "
    "ou répondez au message en demandant à être désabonné(e).",
    later_title="Veuillez réessayer plus tard",
    later="Votre choix n’a pas pu être enregistré. Veuillez réessayer dans quelques minutes, "
    "ou répondez au message en demandant à être désabonné(e).",
)
_ES = Words(
    title="Sus mensajes",
    question="¿Quiere dejar de recibir estos mensajes?",
    question_topic="¿Quiere dejar de recibir «{topic}»?",
    unsubscribe="Darse de baja",
    unsubscribe_all="Darse de baja de todo",
    left="Se ha dado de baja. Ya no recibirá estos mensajes.",
    left_topic="Se ha dado de baja de «{topic}».",
    mistake="¿Ha sido un error?",
    resubscribe="Volver a suscribirse",
    back="Está suscrito/a de nuevo.",
    choose="¿Qué quiere recibir?",
    save="Guardar",
    saved="Sus preferencias se han guardado.",
    all_off="Se ha dado de baja de todo. Si vuelve a elegir algo, puede que reciba también mensajes sin tema.",
    choices="Ver todas las opciones",
    unknown="En este momento no se puede mostrar lo que recibe. Aun así puede darse de baja.",
    leave_some="¿Qué no quiere recibir más?",
    held_back="No se le han podido entregar mensajes, o se han marcado como no deseados. No se le envía nada. "
    "Escriba al remitente si quiere volver a recibir mensajes.",
    broken_title="Este enlace no funciona",
    broken="Puede que se haya cortado por el camino. Ábralo de nuevo desde el mensaje, "
    "o responda al mensaje y pida la baja.",
    later_title="Inténtelo de nuevo más tarde",
    later="No se ha podido guardar su elección. Inténtelo de nuevo dentro de unos minutos, "
    "o responda al mensaje y pida la baja.",
)
LANGUAGES: Mapping[str, Words] = {"en": _EN, "de": _DE, "fr": _FR, "es": _ES}
