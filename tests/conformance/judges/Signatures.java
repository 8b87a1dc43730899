import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.File;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.PublicKey;
import java.security.cert.CertificateFactory;
import java.util.ArrayList;
import java.util.List;
import javax.xml.crypto.Data;
import javax.xml.crypto.OctetStreamData;
import javax.xml.crypto.URIDereferencer;
import javax.xml.crypto.URIReference;
import javax.xml.crypto.XMLCryptoContext;
import javax.xml.crypto.dsig.Manifest;
import javax.xml.crypto.dsig.Reference;
import javax.xml.crypto.dsig.XMLObject;
import javax.xml.crypto.dsig.XMLSignature;
import javax.xml.crypto.dsig.XMLSignatureFactory;
import javax.xml.crypto.dsig.dom.DOMValidateContext;
import javax.xml.parsers.DocumentBuilderFactory;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.NodeList;

/**
 * The signatures of the JDK. A line of the input: a PEM certificate, a tab, the file with the signature; then, each
 * after a tab, `URI=file` for what a manifest names. A line of the output: `ok`, or what is wrong.
 */
public class Signatures {
  static final XMLSignatureFactory FACTORY = XMLSignatureFactory.getInstance("DOM");

  public static void main(String[] arguments) throws Exception {
    BufferedReader questions = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line; (line = questions.readLine()) != null; ) {
      String verdict;
      try {
        List<String> wrong = judged(line.split("\t"));
        verdict = wrong.isEmpty() ? "ok" : String.join("; ", wrong);
      } catch (Exception fault) {
        verdict = (fault.getClass().getSimpleName() + ": " + fault.getMessage()).replaceAll("\\s+", " ");
      }
      System.out.println(verdict);
    }
  }

  static List<String> judged(String[] question) throws Exception {
    DocumentBuilderFactory reader = DocumentBuilderFactory.newInstance();
    reader.setNamespaceAware(true);
    Document document = reader.newDocumentBuilder().parse(new File(question[1]));
    identify(document);
    NodeList found = document.getElementsByTagNameNS(XMLSignature.XMLNS, "Signature");
    if (found.getLength() != 1) return List.of(found.getLength() + " signatures");
    DOMValidateContext context = new DOMValidateContext(key(question[0]), found.item(0));
    context.setProperty("org.jcp.xml.dsig.secureValidation", false); // the lot is signed with SHA-1 by default
    XMLSignature signature = FACTORY.unmarshalXMLSignature(context);
    List<String> wrong = new ArrayList<>();
    if (!signature.getSignatureValue().validate(context)) wrong.add("SignatureValue");
    for (Object one : signature.getSignedInfo().getReferences()) {
      if (!((Reference) one).validate(context)) wrong.add("Reference " + ((Reference) one).getURI());
    }
    context.setURIDereferencer(new NamedFiles(question, FACTORY.getURIDereferencer()));
    for (Object object : signature.getObjects()) {
      for (Object content : ((XMLObject) object).getContent()) {
        if (content instanceof Manifest manifest) wrong.addAll(judged(manifest, context));
      }
    }
    return wrong;
  }

  static List<String> judged(Manifest manifest, DOMValidateContext context) {
    List<String> wrong = new ArrayList<>();
    for (Object one : manifest.getReferences()) {
      Reference reference = (Reference) one;
      try {
        if (!reference.validate(context)) wrong.add("Manifest " + reference.getURI());
      } catch (Exception fault) {
        wrong.add("Manifest " + reference.getURI() + " unknown");
      }
    }
    return wrong;
  }

  static PublicKey key(String certificate) throws Exception {
    byte[] pem = Files.readAllBytes(Path.of(certificate));
    return CertificateFactory.getInstance("X.509").generateCertificate(new ByteArrayInputStream(pem)).getPublicKey();
  }

  /** Without a DTD nothing says which attributes are identifiers: `ID` (SAML), `Id` (XMLDSig, XAdES). */
  static void identify(Document document) {
    NodeList all = document.getElementsByTagName("*");
    for (int place = 0; place < all.getLength(); place++) {
      Element element = (Element) all.item(place);
      for (String name : new String[] {"ID", "Id"}) {
        if (element.hasAttribute(name)) element.setIdAttribute(name, true);
      }
    }
  }

  /** Finds what the question names in its file, and all else as usual. */
  record NamedFiles(String[] question, URIDereferencer usual) implements URIDereferencer {
    @Override
    public Data dereference(URIReference reference, XMLCryptoContext context)
        throws javax.xml.crypto.URIReferenceException {
      for (int place = 2; place < question.length; place++) {
        String[] named = question[place].split("=", 2);
        if (!named[0].equals(reference.getURI())) continue;
        try {
          return new OctetStreamData(new ByteArrayInputStream(Files.readAllBytes(Path.of(named[1]))));
        } catch (java.io.IOException fault) {
          throw new javax.xml.crypto.URIReferenceException(fault);
        }
      }
      return usual.dereference(reference, context);
    }
  }
}
